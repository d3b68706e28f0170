<?php echo "hidden ran";
