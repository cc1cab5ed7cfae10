# Writes OUTPUT, a C file whose table masconI_sources holds every file of LUA/mascon: the assembler copies
# the files in, so nothing needs a converter. Written only when the list changes.
#
#   cmake -DLUA=<source>/lua -DOUTPUT=<file.c> -P sources.cmake
file(GLOB_RECURSE files RELATIVE ${LUA} ${LUA}/mascon/*.lua)
list(SORT files)
set(blocks "")
set(rows "")
set(n 0)
foreach(file IN LISTS files)
  string(REGEX REPLACE "(/init)?\\.lua$" "" module ${file})
  string(REPLACE "/" "." module ${module})
  string(APPEND blocks "EMBED(masconI_lua_${n}, \"${LUA}/${file}\");\n")
  string(APPEND rows
         "    {\"${module}\", \"@${file}\", masconI_lua_${n}, masconI_lua_${n}_end},\n")
  math(EXPR n "${n} + 1")
endforeach()
file(CONFIGURE OUTPUT ${OUTPUT} @ONLY CONTENT [[
/* Made by lib/host/sources.cmake: the Lua files inside the library. */
#include "host/sources.h"

#define EMBED(symbol, file)                                                                   \
    __asm__(".pushsection .rodata\n" #symbol ":\n.incbin \"" file "\"\n" #symbol "_end:\n"    \
            ".popsection\n");                                                                 \
    extern const char symbol[] __attribute__((visibility("hidden")));                         \
    extern const char symbol##_end[] __attribute__((visibility("hidden")))

@blocks@
const masconI_source_file masconI_sources[] = {
@rows@};
const size_t masconI_source_count = @n@;
]])
