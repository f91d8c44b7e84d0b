'use strict';
/* node.js PORT REDIS_PORT KEY SECRET [PROCESSES [CERTIFICATE_FILE KEY_FILE]]: socket.io on Node, with
 * a certificate over https.  Several processes share the port; clients must use WebSocket only, for
 * there are no sticky sessions.  Prints "ready PORT". */
const cluster = require('cluster');
const fs = require('fs');
const http = require('http');
const https = require('https');
const { Server } = require('socket.io');
const { attach, options } = require('./app');

async function serve(ready) {
    const wanted = options();
    const [cert, key] = process.argv.slice(7).map((file) => fs.readFileSync(file));
    const server = cert ? https.createServer({ cert, key }) : http.createServer();
    await attach(new Server(server, wanted.engine), wanted);
    server.listen(wanted.port, '127.0.0.1', 4096, () => ready(server.address().port));
}

const processes = Number(process.argv[6] || 1);
if (cluster.isPrimary && processes > 1) {
    let listening = 0;
    for (let i = 0; i < processes; i++) cluster.fork();
    cluster.on('listening', (worker, { port }) => {
        if (++listening === processes) console.log(`ready ${port}`);
    });
} else {
    serve((port) => {
        if (cluster.isPrimary) console.log(`ready ${port}`);
    });
}
