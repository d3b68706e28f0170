<?php
// One event at once, the next when that file appears.
header('Content-Type: text/event-stream');
header('X-Accel-Buffering: no');
while (ob_get_level() > 0) {
    ob_end_flush();
}
echo "data: first\n\n";
flush();
while (!file_exists($_GET['go'])) {
    usleep(5000);
    clearstatcache();
}
echo "data: went\n\n";
