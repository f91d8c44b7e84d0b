'use strict';
/* NAME.c of this directory, built as a library for LD_PRELOAD. */
const path = require('path');
const { spawnSync } = require('child_process');

function preload(dir, name) {
    const library = path.join(dir, `${name}.so`);
    const args = ['-shared', '-fPIC', '-O1', '-D_GNU_SOURCE', '-o', library, path.join(__dirname, `${name}.c`), '-ldl'];
    const cc = spawnSync(process.env.CC || 'cc', args, { encoding: 'utf8' });
    if (cc.status !== 0) throw new Error(`cc: ${cc.stderr || cc.error}`);
    return library;
}

module.exports = { preload };
