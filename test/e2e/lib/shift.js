'use strict';
/* A daemon whose wall clock the test sets: see shift.c. */
const fs = require('fs');
const path = require('path');
const { spawnSync } = require('child_process');
const { tempDir } = require('./proc');

class Shift {
    constructor(context) {
        const dir = tempDir(context);
        const library = path.join(dir, 'shift.so');
        const args = ['-shared', '-fPIC', '-O1', '-D_GNU_SOURCE', '-o', library, path.join(__dirname, 'shift.c'), '-ldl'];
        const cc = spawnSync(process.env.CC || 'cc', args, { encoding: 'utf8' });
        if (cc.status !== 0) throw new Error(`cc: ${cc.stderr || cc.error}`);
        this.file = path.join(dir, 'seconds');
        fs.writeFileSync(this.file, Buffer.alloc(8));
        this.env = { LD_PRELOAD: library, SHIFT_FILE: this.file };
    }
    /* So many seconds off the true time, from now on. */
    set(seconds) {
        const bytes = Buffer.alloc(8);
        bytes.writeBigInt64LE(BigInt(seconds));
        const fd = fs.openSync(this.file, 'r+'); /* in place: it is mapped */
        fs.writeSync(fd, bytes, 0, 8, 0);
        fs.closeSync(fd);
    }
}

module.exports = { Shift };
