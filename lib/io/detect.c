/* detect.c: tells what a file is by its first bytes, never by its name, and says in a sentence what
 * the usual wrong files are. */
#include <string.h>

#include "io/io.h"

enum { HEAD = 512 };

static int starts(const unsigned char *head, uint64_t n, const char *with, uint64_t size) {
    return n >= size && memcmp(head, with, size) == 0;
}

#define STARTS(literal) starts(head, n, literal, sizeof(literal) - 1)

static mascon_status refuse(const char *path, const char *is, const char *hint) {
    masconI_fail(MASCON_E_FORMAT, "%.256s %s", path, is);
    if (hint) masconI_hint("%s", hint);
    return MASCON_E_FORMAT;
}

/* The files that people pass by accident. */
static mascon_status refuse_known(const masconI_file *f, const unsigned char *head, uint64_t n) {
    char count[32];
    const char *path = f->path;
    if (STARTS("version https://git-lfs")) {
        masconI_fail(MASCON_E_FORMAT, "%.256s is a git-lfs pointer (%s bytes), not the weights",
                     path, masconI_count(count, f->size));
        masconI_hint("git lfs pull");
        return MASCON_E_FORMAT;
    }
    if (memmem(head, n, ".git/annex/objects", 18) || memmem(head, n, "/annex/objects/", 15)) {
        return refuse(path, "is a git-annex pointer, not the weights", "git annex get");
    }
    if (STARTS("<")) {
        char quote[MASCON_IO_QUOTE];
        uint64_t word = 1; /* up to its first space, or to the end of the tag */
        while (word < n && head[word] > ' ' && head[word - 1] != '>') word++;
        masconI_quote(quote, head, word);
        masconI_fail(MASCON_E_FORMAT,
                     "%.256s is an HTML page (starts with %s); the download failed", path, quote);
        return MASCON_E_FORMAT;
    }
    if (STARTS("PK\5\6")) return refuse(path, "is an empty zip archive", NULL);
    if (STARTS("PYTORCH1")) {
        return refuse(path, "is an archive of a PyTorch 1.0 preview",
                      "save it with a later PyTorch");
    }
    if (STARTS("\x1f\x8b")) {
        return refuse(path, "is compressed with gzip; expected the file inside", "gunzip");
    }
    if (STARTS("GGUF")) return refuse(path, "is a GGUF file, which is not read", NULL);
    if (STARTS("\x93NUMPY")) {
        return refuse(path, "is a NumPy array, which is not read",
                      "in Python: safetensors.numpy.save_file({\"x\": array}, ...)");
    }
    if (STARTS("\x89HDF")) return refuse(path, "is an HDF5 file, which is not read", NULL);
    if (n > 1 && head[0] == 0x80 && head[1] >= 2 && head[1] <= 5) {
        /* a stream of torch.save has its magic number in the first pickle, whatever the protocol */
        if (memmem(head, n < 24 ? n : 24, "\x8a\x0a\x6c\xfc\x9c\x46", 6)) {
            masconI_fail(MASCON_E_FORMAT, "%.256s has pickle protocol %d; in such a file 2 is read",
                         path, head[1]);
            masconI_hint("save again with pickle_protocol=2");
            return MASCON_E_FORMAT;
        }
        return refuse(path, "is a Python pickle, which is not read",
                      "in Python: torch.save(value, ...), with tensors and plain values in it");
    }
    if (STARTS("\4\0\0\0\1\0\0\0") || STARTS("4\n1\n")) {
        return refuse(path, "looks like a Torch7 file (.t7), which is not read", NULL);
    }
    return MASCON_OK;
}

mascon_status mascon_file_detect(const char *path, int32_t *format) {
    MASCON_NEED(path);
    MASCON_NEED(format);
    unsigned char head[HEAD] = {0};
    masconI_file *f = NULL;
    MASCON_TRY(masconI_file_open(&f, path));
    uint64_t n = f->size < HEAD ? f->size : HEAD;
    mascon_status status = masconI_file_read(f, 0, head, n);
    if (status != MASCON_OK) goto done;
    *format = -1;
    uint64_t header = 0;
    if (n >= 9) memcpy(&header, head, 8);
    if (n == 0) {
        status = refuse(path, "is empty (0 bytes)", NULL);
    } else if (STARTS("PK\3\4")) {
        *format = MASCON_FILE_PYTORCH_ZIP;
    } else if (STARTS("\x80\2\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19\x2e")) {
        *format = MASCON_FILE_PYTORCH_STREAM;
    } else if (n > 262 && memcmp(head + 257, "ustar", 5) == 0) {
        *format = MASCON_FILE_PYTORCH_TAR;
    } else if (head[8] == '{' && n > 8 && header >= 2 &&
               (header <= masconI_limits_default()->header_bytes || header <= f->size - 8)) {
        *format = MASCON_FILE_SAFETENSORS;
    } else {
        status = refuse_known(f, head, n);
        if (status == MASCON_OK) {
            char quote[MASCON_IO_QUOTE];
            status =
                masconI_fail(MASCON_E_FORMAT,
                             "%.256s is of no known kind (starts with %s); expected safetensors or "
                             "a PyTorch file",
                             path, masconI_quote(quote, head, n < 16 ? n : 16));
        }
    }
done:
    masconI_file_close(f);
    return status;
}
