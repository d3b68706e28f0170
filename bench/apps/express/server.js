import express from 'express';

const app = express();
app.get('/', (_, response) => response.send('hello world\n'));
app.listen(Number(process.env.PORT ?? 3000));
