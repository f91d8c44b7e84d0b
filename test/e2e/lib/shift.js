'use strict';
/* A daemon whose wall clock the test sets: see shift.c. */
const fs = require('fs');
const path = require('path');
const { tempDir } = require('./proc');
const { preload } = require('./preload');

class Shift {
    constructor(context) {
        const dir = tempDir(context);
        this.file = path.join(dir, 'seconds');
        fs.writeFileSync(this.file, Buffer.alloc(8));
        this.env = { LD_PRELOAD: preload(dir, 'shift'), SHIFT_FILE: this.file };
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
