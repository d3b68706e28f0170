<?php
// A wiki in one file: every path is a page, kept as a text file beside this folder.
declare(strict_types=1);

session_start();
$folder = getenv('WIKI_PAGES') ?: dirname(__DIR__) . '/pages';
$name = trim(rawurldecode(strtok($_SERVER['REQUEST_URI'], '?')), '/') ?: 'Start';
if (!preg_match('/^[\p{L}\p{N} _-]{1,80}$/u', $name)) {
    http_response_code(404);
    exit("There cannot be a page of that name.\n");
}
$file = "$folder/$name.txt";
$token = $_SESSION['token'] ??= bin2hex(random_bytes(16));

if ($_SERVER['REQUEST_METHOD'] === 'POST') {
    if (!hash_equals($token, $_POST['token'] ?? '')) {
        http_response_code(403);
        exit("This form is too old: load the page again.\n");
    }
    if (!is_dir($folder)) {
        mkdir($folder, 0700, true);
    }
    // Renamed, so that nobody ever reads half a page, whichever worker is asked.
    $draft = tempnam($folder, 'draft');
    file_put_contents($draft, $_POST['text'] ?? '');
    rename($draft, $file);
    header('Location: /' . rawurlencode($name), true, 303);
    exit();
}

$isThere = is_file($file);
$text = $isThere ? file_get_contents($file) : '';
if (!$isThere) {
    http_response_code(404);
}
$safe = fn (string $text): string => htmlspecialchars($text, ENT_QUOTES | ENT_SUBSTITUTE);
$linked = preg_replace_callback(
    '/\[\[([\p{L}\p{N} _-]{1,80})\]\]/u',
    fn (array $match): string => '<a href="/' . rawurlencode($match[1]) . "\">$match[1]</a>",
    $safe($text),
);
?>
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title><?= $safe($name) ?></title>
<link rel="stylesheet" href="/style.css">
<nav><a href="/">Start</a></nav>
<h1><?= $safe($name) ?></h1>
<article><?= $isThere ? nl2br($linked) : '<em>Nothing here yet: write it.</em>' ?></article>
<form method="post">
<input type="hidden" name="token" value="<?= $token ?>">
<label>Text; [[Name]] is a link<textarea name="text" rows="10"><?= $safe($text) ?></textarea></label>
<button>Save</button>
</form>
<footer>Answered by php-cgi <?= getmypid() ?></footer>
