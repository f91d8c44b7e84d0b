/* options - the configuration, as the engine has it. */
#ifndef WORKER_OPTIONS_H
#define WORKER_OPTIONS_H

#include "engine/engine.h"

struct conf;
struct worker_start;

/* Borrows from both. */
struct engine_options options_of(const struct conf *conf, const struct worker_start *start);

#endif
