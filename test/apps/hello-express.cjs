'use strict';
const express = require('express');

const app = express();
app.get('/', (_, response) => response.send('hello world'));
app.listen(process.env.PORT);
