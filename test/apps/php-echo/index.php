<?php
// The echo app in PHP (see ../echo.cjs): says who asked, what was sent, and who answered.
//   /  /slow?ms=  /upload  /download?bytes=   as there
//   /grow?kb=       native memory that is never freed (needs ffi.enable = 1)
//   /die?file=      kills its own process; with a file only when that is not there yet
//   /fatal          an error that PHP itself reports
//   /big?mb=        so many MiB, as fast as they are taken
$path = strtok($_SERVER['REQUEST_URI'], '?');
$id = $_SERVER['HTTP_X_ID'] ?? '';
$body = file_get_contents('php://input');
$hash = substr(sha1($body), 0, 16);
$pid = getmypid();
header("X-Id: $id");
header("X-Hash: $hash");
header("X-Worker: $pid");
header('X-Mimetype: ' . ini_get('default_mimetype'));
header('Content-Type: text/plain');

switch ($path) {
    case '/slow':
        wait_long((int) $_GET['ms']);
        break;
    case '/download':
        $bytes = (int) $_GET['bytes'];
        exit(substr(str_repeat("$id\n", intdiv($bytes, strlen($id) + 1) + 1), 0, $bytes));
    case '/grow':
        $bytes = (int) $_GET['kb'] * 1024;
        $libc = FFI::cdef('void *malloc(size_t); void *memset(void *, int, size_t);');
        $libc->memset($libc->malloc($bytes), 1, $bytes);
        break;
    case '/die':
        $file = $_GET['file'] ?? null;
        if ($file === null || !file_exists($file)) {
            if ($file !== null) {
                touch($file);
            }
            posix_kill($pid, 9);
        }
        break;
    case '/fatal':
        error_log('it is about to fail');
        undefined_function();
        // no break: nothing comes back from there
    case '/big':
        $chunk = str_repeat('x', 1 << 20);
        for ($count = (int) $_GET['mb']; $count > 0; $count -= 1) {
            echo $chunk;
        }
        exit();
}
echo "id=$id hash=$hash worker=$pid\n";

function wait_long(int $ms): void
{
    usleep($ms * 1000);
}
