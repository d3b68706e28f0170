<?php
// Talks for ever, until nobody listens; then the shutdown function leaves a mark.
if (isset($_GET['mark'])) {
    touch($_GET['mark'] . '.begun');
}
register_shutdown_function(fn () => file_put_contents($_GET['mark'], 'ended'));
while (true) {
    echo str_repeat('x', 1024);
    flush();
    usleep(10000);
}
