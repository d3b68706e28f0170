<?php
// Sends the header lines it is given.
foreach ($_GET['h'] ?? [] as $line) {
    header($line, false);
}
if (isset($_GET['status'])) {
    http_response_code((int) $_GET['status']);
}
echo $_GET['body'] ?? 'body';
