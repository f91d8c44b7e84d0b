#include "codec/redis_error.h"

#include "base/logescape.h"

#include <string.h>

/* What redis says to an unknown command has its arguments in it: the password,
 * where that command is AUTH. */
const char *redis_error_show(const char *error, const char *password, char *dst, size_t cap)
{
    const char *args = strstr(error, "with args");

    if (password != NULL && strstr(error, password) != NULL)
        return "an error that shows the password";
    return log_escape(dst, cap, error, args != NULL ? (size_t)(args - error) : strlen(error));
}
