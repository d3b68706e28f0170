'use strict';
const express = require('express');
const { answer } = require('./answer.cjs');

const app = express();
app.use((req, res) => answer(req, res));
app.listen(process.env.PORT ?? 0);
