<?php
// Dies as by the kernel's hand, with or without a part of the answer on its way.
if (isset($_GET['after'])) {
    echo str_repeat('x', (int) $_GET['after']);
    flush();
}
exec('kill -9 ' . getmypid());
