<?php
error_log('first message');
echo 'answer';
error_log(str_repeat('long ', 20000));
