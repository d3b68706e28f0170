<?php
// So many MiB of a known pattern.
ini_set('output_buffering', '0');
header('Content-Type: application/octet-stream');
$block = str_repeat('0123456789abcdef', 65536);
for ($left = (int) $_GET['mib']; $left > 0; $left--) {
    echo $block;
}
