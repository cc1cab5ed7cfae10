/* sources.h: the Lua files that the library carries. The table is made by CMake (host/sources.cmake). */
#ifndef MASCON_HOST_SOURCES_H
#define MASCON_HOST_SOURCES_H

#include <stddef.h>

typedef struct masconI_source_file {
    const char *module; /* "mascon.nn.module", as require names it */
    const char *chunk;  /* "@mascon/nn/module.lua", as messages name it */
    const char *begin, *end;
} masconI_source_file;

extern const masconI_source_file masconI_sources[];
extern const size_t masconI_source_count;

#endif
