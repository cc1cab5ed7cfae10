/* libraries.h: where cuBLASLt and cuDNN are on this machine (libraries.c). */
#ifndef MASCON_CUDA_LIBRARIES_H
#define MASCON_CUDA_LIBRARIES_H

#include <stddef.h>

/* Whether an opened library can be used: 1, or 0 and a text that says why not. */
typedef int masconG_judge(void *library, char *text, size_t size);

/* Opens the library of this name ("libcudnn.so.9"); NULL and a sentence in why where none can be used.
 * judge may be NULL. */
void *masconG_library_open(const char *name, masconG_judge *judge, char *why, size_t size);

/* Opens the file in whose folder the library with this function lies. name may be a pattern; of several the
 * first that opens is taken. NULL where there is none. */
void *masconG_library_beside(void *library, const char *function, const char *name);

#endif
