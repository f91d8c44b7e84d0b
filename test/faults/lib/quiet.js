'use strict';
/* A daemon that logs to a file: nobody has to read it while thousands come and go. */
const fs = require('fs');
const path = require('path');
const { Daemon, READY, merge } = require('../../e2e/lib/daemon');
const { within, until } = require('../../e2e/lib/time');

async function quiet(t, options) {
    const daemon = new Daemon(t, options);
    const file = path.join(daemon.dir, 'log');
    Object.defineProperty(daemon, 'log', { get: () => (fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '') });
    daemon.config = merge(daemon.config, { log: { level: 'info', target: file } });
    daemon.write(daemon.config);
    daemon.spawn();
    daemon.begun(await until(() => READY.exec(daemon.log), within(4000), 'the ready line'));
    return daemon;
}

module.exports = { quiet };
