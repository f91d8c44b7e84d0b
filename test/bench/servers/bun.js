'use strict';
/* bun.js PORT REDIS_PORT KEY SECRET: socket.io on Bun.  Prints "ready PORT". */
const { Server } = require('socket.io');
const { Server: Engine } = require('@socket.io/bun-engine');
const { attach, options } = require('./app');

async function serve() {
    const wanted = options();
    const io = new Server();
    const engine = new Engine(wanted.engine);
    io.bind(engine);
    await attach(io, wanted);
    const server = Bun.serve({ port: wanted.port, hostname: '127.0.0.1', ...engine.handler() });
    console.log(`ready ${server.port}`);
}

serve();
