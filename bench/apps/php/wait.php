<?php
// As if for a database: holds its worker, and needs no CPU.
usleep(20_000);
echo 'waited';
