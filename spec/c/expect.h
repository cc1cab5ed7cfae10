/* expect.h: the check of the C tests: a function that returns an int ends with 1 where one fails. */
#ifndef MASCON_SPEC_EXPECT_H
#define MASCON_SPEC_EXPECT_H

#include <stdio.h>

#define EXPECT(condition)                                                   \
    do {                                                                    \
        if (!(condition)) {                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            return 1;                                                       \
        }                                                                   \
    } while (0)

#endif
