<?php
// Waits that long, silent; then says so in the file `mark` and to the client. It says that it began in
// the file `begun`, or in `mark` with that ending.
foreach ([$_GET['begun'] ?? null, isset($_GET['mark']) ? $_GET['mark'] . '.begun' : null] as $file) {
    if ($file !== null) {
        touch($file);
    }
}
usleep((int) ($_GET['ms'] * 1000));
if (isset($_GET['mark'])) {
    file_put_contents($_GET['mark'], 'done');
}
echo 'slept';
