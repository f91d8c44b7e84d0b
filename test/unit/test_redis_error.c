#include "codec/redis_error.h"

#include "tap.h"

int main(void)
{
    char text[64];

    is_str(redis_error_show("ERR x\n", NULL, text, sizeof(text)), "ERR x\\x0a", "escaped");
    is_str(redis_error_show("ERR unknown, with args beginning with: 'a'", NULL, text, sizeof(text)),
           "ERR unknown, ", "without the arguments of a command");
    is_str(redis_error_show("ERR is sesame it?", "sesame", text, sizeof(text)),
           "an error that shows the password", "not where the password is in it");
    is_str(redis_error_show("ERR is sesam it?", "sesame", text, sizeof(text)), "ERR is sesam it?",
           "but for a part of it");
    is_str(redis_error_show("ERR \x1b[31m\xff", NULL, text, sizeof(text)), "ERR \\x1b[31m\\xff",
           "what a terminal would act on");
    return tap_done();
}
