<?php
echo 'not read';
