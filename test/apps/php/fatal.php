<?php
ini_set('memory_limit', '4M');
str_repeat('x', 64 * 1024 * 1024);
