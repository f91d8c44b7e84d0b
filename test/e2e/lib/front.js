'use strict';
/* nginx and haproxy in front of a daemon, each with the configuration that a test wants. */
const assert = require('assert');
const fs = require('fs');
const net = require('net');
const path = require('path');
const { spawnSync } = require('child_process');
const { Process, tempDir } = require('./proc');
const { within, until } = require('./time');

/* Debian has them in /usr/sbin. */
const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` };
const ARGS = {
    nginx: (dir) => ['-p', dir, '-c', path.join(dir, 'front.conf'), '-e', 'stderr'],
    haproxy: (dir) => ['-db', '-f', path.join(dir, 'front.conf')],
};
const STREAM = '/usr/lib/nginx/modules/ngx_stream_module.so';

/* Why it cannot be had, or undefined. */
function missing(name) {
    if (spawnSync(name, ['-v'], { env }).error) return `${name} is not installed; scripts/deps test does that`;
    if (name === 'nginx' && !fs.existsSync(STREAM)) return "nginx's module stream is not installed; scripts/deps test does that";
    return undefined;
}

/* The whole of nginx.conf but what is in its sections. */
const nginxConf = ({ http = '', stream }) => `
${stream ? `load_module ${STREAM};` : ''}
${process.getuid() === 0 ? 'user root;' : ''}
daemon off; worker_processes 1; pid nginx.pid; error_log stderr;
events { worker_connections 512; }
http {
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    ${http}
}
${stream ? `stream { ${stream} }` : ''}`;

const canConnect = (port) => new Promise((resolve) => {
    const socket = net.connect({ host: '127.0.0.1', port });
    socket.on('connect', () => resolve(true)).on('error', () => resolve(false));
    socket.on('connect', () => socket.destroy());
});

/* Resolves when it listens on all of ports.  .dir is where it runs. */
async function front(context, name, text, ports) {
    const dir = tempDir(context);
    fs.writeFileSync(path.join(dir, 'front.conf'), text);
    const process_ = new Process(name, ARGS[name](dir), { cwd: dir, env });
    process_.dir = dir;
    context.show(process_);
    context.after(() => {
        process_.signal('SIGTERM');
        return process_.ended(within(3000));
    });
    for (const port of ports)
        await until(async () => {
            assert.ok(!process_.how, `${name} has ended`);
            return canConnect(port);
        }, within(3000), `${name} listens on ${port}`);
    return process_;
}

module.exports = { front, missing, nginxConf };
