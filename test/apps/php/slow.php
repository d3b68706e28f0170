<?php
// Says in a file that it began, waits that long, silent; then says so in the file and to the client.
if (isset($_GET['mark'])) {
    touch($_GET['mark'] . '.begun');
}
usleep((int) ($_GET['ms'] * 1000));
if (isset($_GET['mark'])) {
    file_put_contents($_GET['mark'], 'done');
}
echo 'slept';
