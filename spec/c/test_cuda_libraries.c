/* test_cuda_libraries.c: where a CUDA library is looked for, with a small library in its place: the folders
 * of MASCON_CUDA_LIBRARIES, those of python3's packages, candidates that cannot be used, the sentences. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cuda/libraries.h"
#include "expect.h"

#define NAME "libmascon_probe.so.1"
#define SITE "/packages/nvidia/part/lib" /* what the false python3 below leads to */

static char root[] = "/tmp/mascon_libraries_XXXXXX";
static char why[480];

static int run(const char *format, const char *more) {
    char command[1024];
    snprintf(command, sizeof command, format, root, more);
    return system(command);
}

static void name_folders(const char *a, const char *b) {
    char folders[256];
    snprintf(folders, sizeof folders, "%s/%s:%s/%s", root, a, root, b);
    setenv("MASCON_CUDA_LIBRARIES", folders, 1);
}

static int version(void *library) {
    int (*fn)(void);
    *(void **)&fn = dlsym(library, "probe_version");
    return fn();
}

/* Takes version 2 alone. */
static int wants_2(void *library, char *text, size_t size) {
    if (version(library) == 2) return 1;
    snprintf(text, size, "is version %d", version(library));
    return 0;
}

static int prepare(void) {
    EXPECT(mkdtemp(root));
    EXPECT(run("cd %s && mkdir -p one two broken bin .%s", SITE) == 0);
    EXPECT(run("cd %s && echo 'int probe_version(void) { return V; }' >p.c && for v in 1 2 3; do "
               "cc -shared -fPIC -DV=$v -Wl,-soname," NAME " p.c -o $v.so || exit 1; done; "
               "cp 1.so one/" NAME "; cp 2.so two/" NAME
               "; cp 3.so two/libmascon_probe-part.so.1.5; cp 3.so .%s/" NAME
               "; echo text >broken/" NAME,
               SITE) == 0);
    EXPECT(run("cd %s/bin && printf '%%s\n' '#!/bin/sh' 'echo >>${0%%/bin/*}/asked' "
               "'echo /nowhere' 'echo ${0%%/bin/*}/packages' >python3 && chmod 755 python3%s",
               "") == 0);
    char path[4096];
    snprintf(path, sizeof path, "%s/bin:%s", root, getenv("PATH"));
    setenv("PATH", path, 1);
    return 0;
}

static int64_t times_asked(void) {
    char file[128];
    struct stat s;
    snprintf(file, sizeof file, "%s/asked", root);
    return stat(file, &s) ? 0 : (int64_t)s.st_size;
}

static int test_named_folders(void) {
    name_folders("one", "two");
    void *first = masconG_library_open(NAME, NULL, why, sizeof why);
    EXPECT(first && version(first) == 1);
    name_folders("two", "one"); /* one copy in a process */
    void *again = masconG_library_open(NAME, NULL, why, sizeof why);
    EXPECT(again == first);
    dlclose(first);
    dlclose(again);
    name_folders("one", "two"); /* what the judge refuses is passed over */
    void *second = masconG_library_open(NAME, wants_2, why, sizeof why);
    EXPECT(second && version(second) == 2);
    void *part = masconG_library_beside(second, "probe_version", "libmascon_probe-part.so.1.*");
    EXPECT(part && version(part) == 3);
    EXPECT(!masconG_library_beside(second, "probe_version", "libmascon_probe-part.so.2.*"));
    dlclose(part);
    dlclose(second);
    name_folders("broken", "two");
    second = masconG_library_open(NAME, wants_2, why, sizeof why);
    EXPECT(second && version(second) == 2);
    dlclose(second);
    EXPECT(times_asked() == 0);
    return 0;
}

static int test_packages_of_python(void) {
    unsetenv("MASCON_CUDA_LIBRARIES");
    void *library = masconG_library_open(NAME, NULL, why, sizeof why);
    EXPECT(library && version(library) == 3);
    dlclose(library);
    EXPECT(times_asked() == 1);
    EXPECT(masconG_library_open(NAME, wants_2, why, sizeof why) == NULL);
    EXPECT(strstr(why, SITE "/" NAME " is version 3"));
    EXPECT(times_asked() == 1);
    return 0;
}

static int test_sentences(void) {
    EXPECT(masconG_library_open("libmascon_none.so.7", NULL, why, sizeof why) == NULL);
    EXPECT(strncmp(why, "libmascon_none.so.7 not found; searched the linker's folders", 60) == 0);
    name_folders("one", "broken");
    EXPECT(masconG_library_open("libmascon_none.so.7", NULL, why, sizeof why) == NULL);
    EXPECT(strstr(why, "searched MASCON_CUDA_LIBRARIES, the linker's folders"));
    name_folders("broken", "one");
    EXPECT(masconG_library_open(NAME, wants_2, why, sizeof why) == NULL); /* the first of the two */
    EXPECT(strstr(why, "/broken/" NAME) && !strstr(why, "is version"));
    return 0;
}

int main(void) {
    int failed = prepare() || test_named_folders() || test_packages_of_python() || test_sentences();
    if (run("rm -rf %s%s", "")) failed = 1;
    if (!failed) printf("ok\n");
    return failed;
}
