'use strict';
/* A daemon whose names and workers the test holds up: see inside.c. */
const fs = require('fs');
const path = require('path');
const { tempDir } = require('./proc');
const { preload } = require('./preload');

class Inside {
    constructor(context) {
        this.dir = tempDir(context);
        fs.chmodSync(this.dir, 0o755);
        this.env = { LD_PRELOAD: preload(this.dir, 'inside'), INSIDE_DIR: this.dir };
    }
    file(name) {
        return path.join(this.dir, name);
    }
    /* The name is known from now on: an address, or nothing. */
    answer(name, address = '') {
        fs.writeFileSync(this.file(`${name}.new`), address);
        fs.renameSync(this.file(`${name}.new`), this.file(name));
    }
    /* Workers that are forked from now on hang: until resume(), or for ever. */
    hang(how = 'wait') {
        this.answer('unready', how);
    }
    resume() {
        fs.unlinkSync(this.file('unready'));
    }
}

module.exports = { Inside };
