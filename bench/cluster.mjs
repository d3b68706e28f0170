/** The least that `node:cluster` needs: two workers of the app that is named on the command line. */
import cluster from 'node:cluster';
import { pathToFileURL } from 'node:url';

if (cluster.isPrimary) for (let count = 0; count < 2; count += 1) cluster.fork();
else await import(pathToFileURL(process.argv[2]).href);
