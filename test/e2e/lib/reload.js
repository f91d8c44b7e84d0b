'use strict';
/* HUP: another configuration for a daemon that runs. */
const assert = require('assert');
const { merge } = require('./daemon');
const { isRunning } = require('./proc');
const { within, until } = require('./time');

/* Writes the configuration with these changes; they stay for the next time. */
function change(daemon, over) {
    daemon.config = merge(daemon.config, over);
    daemon.write(daemon.config);
}
/* The same, and HUP; resolves once the log says what came of it. */
async function reload(daemon, over, pattern = /configuration reloaded|not reloaded/, ms = 5000) {
    const from = daemon.log.length;
    change(daemon, over);
    daemon.signal('SIGHUP');
    await daemon.logged(pattern, within(ms), from);
    return daemon.log.slice(from);
}
/* Resolves when each worker has taken the settings that were sent after from, or has left. */
async function taken(daemon, from) {
    const isOver = (pid) => new RegExp(`\\[${pid}\\]: settings taken`).test(daemon.log.slice(from)) || !isRunning(pid);
    await Promise.all(daemon.workers().map((pid) => until(() => isOver(pid), within(4000), `settings taken by ${pid}`)));
}
/* A reload of what live workers take; resolves when they have. */
async function relive(daemon, over) {
    const from = daemon.log.length;
    const log = await reload(daemon, over);
    await taken(daemon, from);
    return log;
}
/* One that needs new workers; resolves when these alone serve whoever comes.  With
 * left: when the old ones have gone, too. */
async function renew(daemon, over, { left = true } = {}) {
    const from = daemon.log.length;
    const old = daemon.workers();
    const log = await reload(daemon, over);
    assert.match(log, /configuration reloaded/);
    if (!left) {
        daemon.deaths = true; /* the workers that leave may be there at the end, or not */
        await Promise.all(old.map((pid) => daemon.logged(new RegExp(`\\[${pid}\\]: draining: `), within(1000), from)));
        return log;
    }
    await daemon.logged(/generation \d+ has left/, within(daemon.config.drainTimeout + 3000), from);
    daemon.workersAtReady = daemon.workers();
    return log;
}

module.exports = { change, reload, taken, relive, renew };
