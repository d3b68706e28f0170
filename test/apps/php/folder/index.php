<?php echo "folder index ", $_SERVER["SCRIPT_NAME"];
