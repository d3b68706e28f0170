<?php
header('Content-Type: application/json');
echo json_encode(array_filter($_SERVER, 'is_string'), JSON_INVALID_UTF8_SUBSTITUTE);
