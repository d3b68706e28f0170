<?php
// Reads the body as it comes (a PUT is not read before the script starts).
$input = fopen('php://input', 'r');
$bytes = 0;
while (!feof($input)) {
    $bytes += strlen(fread($input, 65536));
}
echo $bytes;
