<?php
// What arrived of the body: length, hash, form fields and files.
header('Content-Type: application/json');
$input = file_get_contents('php://input');
echo json_encode([
    'length' => $_SERVER['CONTENT_LENGTH'] ?? null,
    'bytes' => strlen($input),
    'md5' => md5($input),
    'post' => $_POST,
    'files' => array_map(fn ($file) => [$file['size'], md5_file($file['tmp_name'])], $_FILES),
]);
