<?php
// Waits that long, silent; then says so in the file and to the client. `begun`: a file for before.
if (isset($_GET['begun'])) {
    touch($_GET['begun']);
}
usleep((int) ($_GET['ms'] * 1000));
if (isset($_GET['mark'])) {
    file_put_contents($_GET['mark'], 'done');
}
echo 'slept';
