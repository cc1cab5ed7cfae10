/* test_api_misuse.c: every public function with arguments that are wrong: a status and a sentence, or
 * nothing where there is no status; never a crash. Each call runs in a process of its own, so that one
 * crash hides no other. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mascon_data.h"
#include "mascon_dlpack.h"
#include "mascon_host.h"
#include "mascon_io.h"
#include "mascon_lua.h"
#include "mascon_model.h"
#include "mascon_program.h"

static int failures;

static void judge(const char *what, pid_t pid) {
    int state = 0;
    waitpid(pid, &state, 0);
    if (WIFEXITED(state) && WEXITSTATUS(state) == 0) return;
    failures++;
    fprintf(stderr, "%s: %s\n", what,
            !WIFEXITED(state)          ? "crashed"
            : WEXITSTATUS(state) == 99 ? "succeeded"
            : WEXITSTATUS(state) == 98 ? "failed without its sentence"
                                       : "ended the process");
}

static int judge_status(mascon_status status) {
    const mascon_error *e = mascon_last_error();
    if (status == MASCON_OK) return 99;
    return e->code == status && e->message[0] ? 0 : 98;
}

/* Must be refused. */
#define REFUSED(call)                            \
    do {                                         \
        pid_t pid = fork();                      \
        if (pid == 0) _exit(judge_status(call)); \
        judge(#call, pid);                       \
    } while (0)

/* Must do nothing. */
#define QUIET(call)         \
    do {                    \
        pid_t pid = fork(); \
        if (pid == 0) {     \
            (void)(call);   \
            _exit(0);       \
        }                   \
        judge(#call, pid);  \
    } while (0)
#define QUIET_VOID(call) QUIET(((call), 0))

static int64_t sizes[] = {2, 3}, negative[] = {2, -3}, huge[] = {INT64_MAX, INT64_MAX};
static mascon_tensor *t, *t2, *out;
static mascon_tensor *none[8];
static double number;
static int32_t integer;
static int64_t large;
static uint64_t id;
static const char *text;

static void errors_and_ops(void) {
    mascon_call call;
    memset(&call, 0, sizeof call);
    QUIET(mascon_status_name(-5));
    QUIET(mascon_status_name(1000));
    QUIET(mascon_dtype_name(-1));
    QUIET(mascon_dtype_find(NULL));
    QUIET(mascon_dtype_find("float31"));
    QUIET(mascon_dtype_size(99));
    REFUSED(mascon_invoke(NULL));
    REFUSED((call.op = -1, mascon_invoke(&call)));
    REFUSED((call.op = 100000, mascon_invoke(&call)));
    REFUSED((call.op = 0, call.n_src = 9, mascon_invoke(&call)));
    REFUSED((call.op = mascon_op_find("relu"), mascon_invoke(&call)));
    REFUSED((call.op = mascon_op_find("relu"), call.n_src = -1, mascon_invoke(&call)));
    REFUSED((call.op = mascon_op_find("cat"), call.n_list = 2, mascon_invoke(&call)));
    REFUSED(
        (call.op = mascon_op_find("cat"), call.n_list = 2, call.list = none, mascon_invoke(&call)));
    REFUSED((call.op = mascon_op_find("cat"), call.n_list = -2, call.list = none,
             mascon_invoke(&call)));
    REFUSED((call.op = mascon_op_find("adam"), call.n_list = 3, call.list = none,
             mascon_invoke(&call)));
    QUIET(mascon_op_find(NULL));
    QUIET(mascon_op_name(-1));
    QUIET(mascon_op_describe(100000));
    QUIET(mascon_op_support(0, NULL));
    QUIET(mascon_op_support(-1, "cpu"));
    QUIET(mascon_op_support(0, "nothing"));
    QUIET(mascon_abi(NULL, NULL, NULL));
    QUIET_VOID(mascon_config_text(NULL, 5));
    REFUSED(mascon_ops_check(1));
}

static void tensors(void) {
    REFUSED(mascon_tensor_new(NULL, 0, 2, sizes, 0));
    REFUSED(mascon_tensor_new(&out, 99, 2, sizes, 0));
    REFUSED(mascon_tensor_new(&out, 0, 9, sizes, 0));
    REFUSED(mascon_tensor_new(&out, 0, -1, sizes, 0));
    REFUSED(mascon_tensor_new(&out, 0, 2, NULL, 0));
    REFUSED(mascon_tensor_new(&out, 0, 2, negative, 0));
    REFUSED(mascon_tensor_new(&out, 0, 2, huge, 0));
    REFUSED(mascon_tensor_new(&out, 0, 2, sizes, -1));
    REFUSED(mascon_tensor_new(&out, 0, 2, sizes, 99999));
    REFUSED(mascon_tensor_new_nhwc(NULL, 0, sizes, 0));
    REFUSED(mascon_tensor_new_nhwc(&out, 0, NULL, 0));
    REFUSED(mascon_tensor_from_blob(NULL, sizes, 0, 1, sizes, 0));
    REFUSED(mascon_tensor_from_blob(&out, NULL, 0, 2, sizes, 0));
    REFUSED(mascon_tensor_from_blob(&out, sizes, 0, 2, NULL, 0));
    REFUSED(mascon_tensor_from_blob(&out, sizes, 99, 1, sizes, 0));
    QUIET_VOID(mascon_tensor_retain(NULL));
    QUIET_VOID(mascon_tensor_release(NULL));
    QUIET(mascon_tensor_discard(NULL, NULL));
    QUIET(mascon_tensor_is_released(NULL));
    QUIET(mascon_tensor_ndim(NULL));
    QUIET(mascon_tensor_shape(NULL));
    QUIET(mascon_tensor_strides(NULL));
    QUIET(mascon_tensor_numel(NULL));
    QUIET(mascon_tensor_dtype(NULL));
    QUIET(mascon_tensor_device(NULL));
    QUIET(mascon_tensor_layout(NULL));
    QUIET(mascon_tensor_is_contiguous(NULL));
    QUIET(mascon_tensor_storage_id(NULL));
    QUIET(mascon_tensor_version(NULL));
    QUIET_VOID(mascon_tensor_mark_changed(NULL));
    QUIET_VOID(mascon_tensor_set_origin(NULL, "x"));
    REFUSED(mascon_tensor_data(NULL, (void **)&out));
    REFUSED(mascon_tensor_data(t, NULL));
    REFUSED(mascon_tensor_read(NULL, &number));
    REFUSED(mascon_tensor_read(t, NULL));
    REFUSED(mascon_tensor_write(NULL, &number));
    REFUSED(mascon_tensor_write(t, NULL));
    REFUSED(mascon_tensor_item(NULL, &number));
    REFUSED(mascon_tensor_item(t, &number));
    REFUSED(mascon_tensor_pin(NULL, &out));
    REFUSED(mascon_tensor_pin(t, NULL));
    REFUSED(mascon_upload_new(NULL, &t, 1, MASCON_DEVICE_CUDA, none));
    REFUSED(mascon_upload_new((mascon_upload **)&out, NULL, 1, MASCON_DEVICE_CUDA, none));
    REFUSED(mascon_upload_use(NULL));
    QUIET_VOID(mascon_upload_release(NULL));
    /* after its end every use is refused */
    QUIET(mascon_tensor_discard(t2, "here"));
    REFUSED((mascon_tensor_discard(t2, "here"), mascon_tensor_data(t2, (void **)&out)));
    REFUSED((mascon_tensor_discard(t2, NULL), mascon_tensor_detach(t2, &out)));
}

static void gradients(void) {
    static mascon_backward *pass;
    QUIET(mascon_tensor_requires_grad(NULL));
    REFUSED(mascon_tensor_set_requires_grad(NULL, 1));
    QUIET(mascon_tensor_is_leaf(NULL));
    REFUSED(mascon_tensor_grad(NULL, &out));
    REFUSED(mascon_tensor_grad(t, NULL));
    REFUSED(mascon_tensor_set_grad(NULL, t));
    REFUSED(mascon_tensor_detach(NULL, &out));
    REFUSED(mascon_tensor_detach(t, NULL));
    REFUSED(mascon_backward_begin(NULL, t, NULL, NULL, 0, 0));
    REFUSED(mascon_backward_begin(&pass, NULL, NULL, NULL, 0, 0));
    REFUSED(mascon_backward_begin(&pass, t, NULL, NULL, 0, 0));
    REFUSED(mascon_backward_begin(&pass, t, NULL, none, 2, 0));
    REFUSED(mascon_backward_next(NULL, &integer, &id));
    REFUSED(mascon_backward_host_grad(NULL, 0, &out));
    REFUSED(mascon_backward_host_give(NULL, 0, t));
    REFUSED(mascon_backward_result(NULL, 0, &out));
    QUIET_VOID(mascon_backward_end(NULL));
    REFUSED(mascon_node_new(1, none, 1, none, 1));
    REFUSED(mascon_node_new(1, &t, 1, NULL, 1));
    REFUSED(mascon_node_new(1, NULL, 1, &t, 1));
    REFUSED(mascon_node_new(1, &t, 1, &t, 99));
    REFUSED(mascon_node_new(1, &t, -1, &t2, 1));
    REFUSED(mascon_node_new(1, &t, 1, &t2, -1));
    REFUSED(mascon_backward_begin(&pass, t, NULL, &t, -1, 0));
}

static void free_nothing(void *user, void *block) {
    (void)user;
    (void)block;
}

static void machine(void) {
    static int64_t numbers[MASCON_MEMORY_COUNT];
    REFUSED(mascon_generator_new(NULL, 1));
    QUIET_VOID(mascon_generator_release(NULL));
    QUIET_VOID(mascon_generator_seed(NULL, 1));
    QUIET_VOID(mascon_generator_get(NULL, &id, &id));
    QUIET_VOID(mascon_generator_set(NULL, 1, 1));
    QUIET_VOID(mascon_generator_next(NULL, (uint64_t[2]){0}));
    REFUSED(mascon_set_num_threads(0));
    REFUSED(mascon_set_num_threads(1 << 30));
    REFUSED(mascon_memory(0, NULL));
    REFUSED(mascon_memory(-1, numbers));
    REFUSED(mascon_memory(99999, numbers));
    QUIET_VOID(mascon_empty_cache(-7));
    QUIET_VOID(mascon_reset_peak_memory(99999));
    QUIET_VOID(mascon_memory_report(0, NULL, 10));
    REFUSED(mascon_set_allocator(NULL, free_nothing, NULL));
    REFUSED(mascon_set_log(NULL, NULL, 99));
    REFUSED(mascon_set_pool(&(mascon_pool){0, NULL, NULL}));
    QUIET(mascon_device_count(99, NULL));
    REFUSED(mascon_synchronize(-1));
    REFUSED(mascon_set(-1, 0));
    QUIET(mascon_setting(99));
    QUIET(mascon_is_terminal(-1));
    QUIET_VOID(mascon_profile_row(-1, numbers, NULL));
    QUIET_VOID(mascon_profile_row(0, NULL, NULL));
    QUIET(mascon_conversion_site(-1));
    QUIET(mascon_conversion_site(1 << 20));
}

static void readers(void) {
    static mascon_limits *limits;
    static mascon_reader *reader;
    static mascon_torch *torch;
    static mascon_node node;
    REFUSED(mascon_limits_new(NULL));
    REFUSED(mascon_limits_set(NULL, "tensors", 1));
    REFUSED((mascon_limits_new(&limits), mascon_limits_set(limits, NULL, 1)));
    REFUSED((mascon_limits_new(&limits), mascon_limits_set(limits, "nothing", 1)));
    REFUSED((mascon_limits_new(&limits), mascon_limits_set(limits, "tensors", -1)));
    QUIET_VOID(mascon_limits_release(NULL));
    REFUSED(mascon_file_detect(NULL, &integer));
    REFUSED(mascon_file_detect("/dev/null", NULL));
    REFUSED(mascon_file_detect("/", &integer));
    REFUSED(mascon_reader_open(NULL, "x", NULL));
    REFUSED(mascon_reader_open(&reader, NULL, NULL));
    REFUSED(mascon_reader_open(&reader, "", NULL));
    REFUSED(mascon_reader_open(&reader, "/dev/null", NULL));
    QUIET_VOID(mascon_reader_close(NULL));
    QUIET(mascon_reader_count(NULL));
    QUIET(mascon_reader_name(NULL, 0));
    QUIET(mascon_reader_find(NULL, "x"));
    QUIET(mascon_reader_dtype_text(NULL, 0));
    QUIET(mascon_reader_dtype(NULL, 0));
    QUIET(mascon_reader_ndim(NULL, 0));
    QUIET(mascon_reader_shape(NULL, 0));
    REFUSED(mascon_reader_tensor(NULL, 0, &out));
    REFUSED(mascon_reader_bytes(NULL, 0, &text, &large));
    QUIET(mascon_reader_metadata_count(NULL));
    QUIET(mascon_reader_metadata_key(NULL, 0, NULL));
    QUIET(mascon_reader_metadata_text(NULL, 0, NULL));
    QUIET(mascon_reader_metadata(NULL, NULL, NULL));
    QUIET_VOID(mascon_reader_verify(NULL, 1));
    QUIET(mascon_reader_has_sums(NULL));
    REFUSED(mascon_torch_open(NULL, "x", NULL, 0));
    REFUSED(mascon_torch_open(&torch, NULL, NULL, 0));
    QUIET_VOID(mascon_torch_close(NULL));
    QUIET(mascon_torch_format(NULL));
    REFUSED(mascon_torch_next(NULL, &node));
    REFUSED(mascon_torch_tensor(NULL, 0, &out));
    QUIET(mascon_torch_unused(NULL, 0));
    QUIET(mascon_tensor_find_nonfinite(NULL));
}

static void writers(void) {
    static mascon_writer *writer;
    static mascon_digest *digest;
    static char digits[65];
    mascon_writer_begin(&writer, "misuse.safetensors");
    mascon_digest_new(&digest);
    REFUSED(mascon_writer_begin(NULL, "x"));
    REFUSED(mascon_writer_begin(&writer, NULL));
    REFUSED(mascon_writer_begin(&writer, "/"));
    QUIET_VOID(mascon_writer_release(NULL));
    REFUSED(mascon_writer_metadata(NULL, "a", "b", 1));
    REFUSED(mascon_writer_metadata(writer, NULL, "b", 1));
    REFUSED(mascon_writer_metadata(writer, "a", NULL, 1));
    REFUSED(mascon_writer_metadata(writer, "a", "b", -1));
    REFUSED(mascon_writer_add(NULL, "a", t, NULL));
    REFUSED(mascon_writer_add(writer, NULL, t, NULL));
    REFUSED(mascon_writer_add(writer, "a", NULL, NULL));
    REFUSED(mascon_writer_add(writer, "", t, NULL));
    REFUSED(mascon_writer_add_bytes(NULL, "a", "b", 1));
    REFUSED(mascon_writer_add_bytes(writer, NULL, "b", 1));
    REFUSED(mascon_writer_add_bytes(writer, "a", NULL, 1));
    REFUSED(mascon_writer_add_bytes(writer, "a", "b", -1));
    QUIET(mascon_writer_find(NULL, t));
    QUIET(mascon_writer_find(writer, NULL));
    REFUSED(mascon_writer_finish(NULL, 0));
    REFUSED(mascon_checkpoint_number(NULL));
    REFUSED(mascon_checkpoint_prune(NULL, 1));
    REFUSED(mascon_checkpoint_clean(NULL, &large));
    REFUSED(mascon_checkpoint_clean(".", NULL));
    REFUSED(mascon_digest_new(NULL));
    QUIET_VOID(mascon_digest_release(NULL));
    QUIET_VOID(mascon_digest_add(NULL, "x", 1));
    QUIET_VOID(mascon_digest_add(digest, NULL, 1));
    QUIET_VOID(mascon_digest_add(digest, "x", -1));
    REFUSED(mascon_digest_tensor(NULL, t));
    REFUSED(mascon_digest_tensor(digest, NULL));
    QUIET_VOID(mascon_digest_text(NULL, digits));
    QUIET_VOID(mascon_digest_text(digest, NULL));
    REFUSED(mascon_file_sha256(NULL, digits));
    REFUSED(mascon_file_sha256("/dev/null", NULL));
    mascon_writer_release(writer);
    mascon_digest_release(digest);
}

static void pictures(void) {
    static mascon_image_options options = {.max_pixels = 1000};
    static mascon_source *s, *made;
    static mascon_pipeline *p;
    static mascon_loader *loader;
    static mascon_draw draw;
    mascon_source_fake(&s, 4, 2, 8, 8, 0);
    mascon_pipeline_new(&p);
    REFUSED(mascon_image_decode(NULL, 5, &options, &out, &integer));
    REFUSED(mascon_image_decode("x", -5, &options, &out, &integer));
    REFUSED(mascon_image_decode("x", 1, NULL, &out, &integer));
    REFUSED(mascon_image_decode("x", 1, &options, NULL, &integer));
    REFUSED(mascon_image_decode("x", 1, &options, &out, NULL));
    REFUSED(mascon_image_read(NULL, &options, &out, &integer));
    REFUSED(mascon_image_read("/dev/null", &options, &out, NULL));
    REFUSED(mascon_image_read("x", NULL, &out, NULL));
    REFUSED(mascon_image_write(NULL, t, 0, 90));
    REFUSED(mascon_image_write("misuse.png", NULL, 1, 90));
    REFUSED(mascon_image_write("misuse.png", t, 1, 90));
    REFUSED(mascon_image_write("misuse.png", t, 7, 90));
    QUIET(mascon_image_library(99));
    REFUSED(mascon_source_cifar10(NULL, "x", 1, 0));
    REFUSED(mascon_source_cifar10(&made, NULL, 1, 0));
    REFUSED(mascon_source_cifar100(&made, NULL, 1, 0));
    REFUSED(mascon_source_mnist(&made, NULL, "MNIST", 1));
    REFUSED(mascon_source_mnist(&made, "/nowhere", NULL, 1));
    REFUSED(mascon_source_folder(&made, NULL, &options));
    REFUSED(mascon_source_folder(&made, "/nowhere", NULL));
    REFUSED(mascon_source_fake(NULL, 4, 2, 8, 8, 0));
    REFUSED(mascon_source_fake(&made, -4, 2, 8, 8, 0));
    REFUSED(mascon_source_fake(&made, 4, 99, 8, 8, 0));
    REFUSED(mascon_source_fake(&made, 4, 2, 0, -8, 0));
    REFUSED(mascon_source_tensors(NULL, &t, 1));
    REFUSED(mascon_source_tensors(&made, NULL, 1));
    REFUSED(mascon_source_tensors(&made, none, 1));
    REFUSED(mascon_source_tensors(&made, &t, 99));
    REFUSED(mascon_source_select(&made, NULL, sizes, 1));
    REFUSED(mascon_source_select(&made, s, NULL, 1));
    REFUSED(mascon_source_select(&made, s, negative, 2));
    REFUSED(mascon_source_concat(&made, NULL, 1));
    REFUSED(mascon_source_concat(&made, (mascon_source **)none, 1));
    QUIET_VOID(mascon_source_release(NULL));
    QUIET(mascon_source_len(NULL));
    QUIET(mascon_source_fields(NULL));
    QUIET_VOID(mascon_source_set_label_base(NULL, 1));
    QUIET(mascon_source_file(NULL, 0));
    QUIET(mascon_source_file(s, -1));
    QUIET(mascon_source_class(NULL, 0));
    QUIET(mascon_source_class(s, 1 << 20));
    QUIET(mascon_source_class(s, -1));
    QUIET(mascon_source_warning(NULL));
    REFUSED(mascon_source_get(NULL, 0, 0, &out));
    REFUSED(mascon_source_get(s, 99, 0, &out));
    REFUSED(mascon_source_get(s, -1, 0, &out));
    REFUSED(mascon_source_get(s, 0, 9, &out));
    REFUSED(mascon_source_get(s, 0, -1, &out));
    REFUSED(mascon_source_get(s, 0, 0, NULL));
    REFUSED(mascon_source_label(NULL, 0, &large));
    REFUSED(mascon_source_label(s, 99, &large));
    REFUSED(mascon_source_label(s, 0, NULL));
    REFUSED(mascon_pipeline_new(NULL));
    QUIET_VOID(mascon_pipeline_release(NULL));
    REFUSED(mascon_pipeline_add(NULL, "to_tensor", NULL, 0));
    REFUSED(mascon_pipeline_add(p, NULL, NULL, 0));
    REFUSED(mascon_pipeline_add(p, "nothing", NULL, 0));
    REFUSED(mascon_pipeline_add(p, "normalize", NULL, 2));
    REFUSED(mascon_pipeline_add(p, "resize", &number, 1));
    REFUSED(mascon_pipeline_add(p, "hflip", &number, -1));
    QUIET(mascon_pipeline_random(NULL));
    REFUSED(mascon_pipeline_apply(NULL, t, &out));
    REFUSED(mascon_pipeline_apply(p, NULL, &out));
    REFUSED(mascon_pipeline_apply(p, t, NULL));
    REFUSED(mascon_pipeline_draw(p, NULL, &draw, &out));
    REFUSED(mascon_pipeline_draw(p, t, NULL, &out));
    QUIET_VOID(mascon_shuffle(1, 1, 5, NULL));
    REFUSED(mascon_loader_new(NULL, s, NULL, 1, 0, 0, 1));
    REFUSED(mascon_loader_new(&loader, NULL, NULL, 1, 0, 0, 1));
    REFUSED(mascon_loader_new(&loader, s, NULL, 0, 0, 0, 1));
    REFUSED(mascon_loader_new(&loader, s, NULL, 1, 0, -1, 1));
    QUIET_VOID(mascon_loader_seed(NULL, 1, 1));
    QUIET_VOID(mascon_loader_skip(NULL, 1));
    QUIET_VOID(mascon_loader_pin(NULL, 1));
    QUIET(mascon_loader_position(NULL));
    QUIET(mascon_loader_skipped(NULL, 0, NULL));
    REFUSED(mascon_loader_begin(NULL, sizes, 1, 0));
    mascon_loader_new(&loader, s, NULL, 1, 0, 0, 1);
    REFUSED(mascon_loader_begin(loader, NULL, 1, 0));
    REFUSED(mascon_loader_begin(loader, negative, 2, 0));
    REFUSED(mascon_loader_next(NULL, 0, none, &integer));
    REFUSED(mascon_loader_next(loader, 0, NULL, &integer));
    REFUSED(mascon_loader_next(loader, 0, none, NULL));
    QUIET_VOID(mascon_loader_stop(NULL));
    QUIET(mascon_loader_waited(NULL));
    QUIET_VOID(mascon_loader_release(NULL));
    mascon_resident *resident = NULL;
    REFUSED(mascon_resident_new(NULL, s, MASCON_DEVICE_CPU));
    REFUSED(mascon_resident_new(&resident, NULL, MASCON_DEVICE_CPU));
    REFUSED(mascon_resident_begin(NULL, NULL, 1, 1, sizes, 1));
    REFUSED(mascon_resident_batch(NULL, 0, 1, none));
    QUIET_VOID(mascon_resident_release(NULL));
    mascon_loader_release(loader);
    mascon_source_release(s);
    mascon_pipeline_release(p);
}

static void residents(void) {
    static mascon_source *s;
    static mascon_resident *r, *made;
    static mascon_tensor *two[2];
    mascon_source_fake(&s, 4, 2, 8, 8, 0);
    mascon_resident_new(&r, s, MASCON_DEVICE_CPU);
    REFUSED(mascon_resident_new(NULL, s, MASCON_DEVICE_CPU));
    REFUSED(mascon_resident_new(&made, NULL, MASCON_DEVICE_CPU));
    REFUSED(mascon_resident_new(&made, s, -1));
    REFUSED(mascon_resident_new(&made, s, 99999));
    REFUSED(mascon_resident_begin(NULL, NULL, 1, 1, sizes, 2));
    REFUSED(mascon_resident_begin(r, NULL, 1, 1, NULL, 2));
    REFUSED(mascon_resident_begin(r, NULL, 1, 1, sizes, -1));
    REFUSED(mascon_resident_begin(r, NULL, 1, 1, negative, 2));
    REFUSED(mascon_resident_batch(NULL, 0, 1, two));
    REFUSED(mascon_resident_batch(r, 0, 1, NULL));
    REFUSED(mascon_resident_batch(r, 0, 1, two)); /* no epoch was begun */
    REFUSED((mascon_resident_begin(r, NULL, 1, 1, sizes, 2), mascon_resident_batch(r, -1, 1, two)));
    REFUSED((mascon_resident_begin(r, NULL, 1, 1, sizes, 2), mascon_resident_batch(r, 0, -1, two)));
    QUIET_VOID(mascon_resident_release(NULL));
    mascon_resident_release(r);
    mascon_source_release(s);
}

static void files(void) {
    static char digits[65];
    REFUSED(mascon_file_md5(NULL, digits));
    REFUSED(mascon_file_md5("/dev/null", NULL));
    REFUSED(mascon_download(NULL, "misuse", "0"));
    REFUSED(mascon_download("http://x", NULL, "0"));
    REFUSED(mascon_download("http://x", "misuse", NULL));
    REFUSED(mascon_download_sha256(NULL, "misuse", "0"));
    REFUSED(mascon_download_sha256("http://x", NULL, "0"));
    REFUSED(mascon_download_sha256("http://x", "misuse", NULL));
    REFUSED(mascon_cifar10_unpack(NULL, "."));
    REFUSED(mascon_cifar10_unpack("/dev/null", NULL));
    REFUSED(mascon_cifar100_unpack(NULL, "."));
}

static void models(void) {
    static mascon_model *m;
    static mascon_recorder *r;
    static mascon_dlpack *d;
    static mascon_dlpack_versioned *v;
    REFUSED(mascon_model_load(NULL, "x"));
    REFUSED(mascon_model_load(&m, NULL));
    REFUSED(mascon_model_load(&m, "/dev/null"));
    QUIET_VOID(mascon_model_retain(NULL));
    QUIET_VOID(mascon_model_release(NULL));
    REFUSED(mascon_model_run(NULL, &t, 1, none, 1));
    REFUSED(mascon_model_to(NULL, 0));
    QUIET(mascon_model_device(NULL));
    QUIET(mascon_model_count(NULL, 0));
    QUIET(mascon_model_name(NULL, 0, 0));
    QUIET(mascon_model_find(NULL, 0, NULL));
    QUIET(mascon_model_dtype(NULL, 0, 0));
    QUIET(mascon_model_shape(NULL, 0, 0, NULL));
    QUIET(mascon_model_calls(NULL));
    REFUSED(mascon_recorder_begin(NULL));
    QUIET_VOID(mascon_recorder_release(NULL));
    QUIET_VOID(mascon_recorder_stop(NULL));
    QUIET_VOID(mascon_recorder_path(NULL, NULL));
    QUIET(mascon_recorder_calls(NULL));
    REFUSED(mascon_recorder_input(NULL, "x", t));
    REFUSED((mascon_recorder_begin(&r), mascon_recorder_input(r, NULL, t)));
    REFUSED((mascon_recorder_begin(&r), mascon_recorder_input(r, "x", NULL)));
    REFUSED(mascon_recorder_constant(NULL, "x", t));
    REFUSED((mascon_recorder_begin(&r), mascon_recorder_constant(r, "x", NULL)));
    REFUSED(mascon_recorder_output(NULL, "x", t));
    REFUSED((mascon_recorder_begin(&r), mascon_recorder_output(r, NULL, t)));
    REFUSED(mascon_recorder_save(NULL, NULL, "x"));
    REFUSED((mascon_recorder_begin(&r), mascon_recorder_stop(r), mascon_recorder_save(r, r, NULL)));
    REFUSED(mascon_tensor_from_dlpack(&out, NULL));
    REFUSED(mascon_tensor_from_dlpack_versioned(&out, NULL));
    REFUSED(mascon_tensor_to_dlpack(&d, NULL));
    REFUSED(mascon_tensor_to_dlpack(NULL, t));
    REFUSED(mascon_tensor_to_dlpack_versioned(&v, NULL));
    REFUSED(mascon_tensor_to_dlpack_versioned(NULL, t));
}

static void programs(void) {
    static mascon_program *p;
    REFUSED(mascon_program_begin(NULL));
    REFUSED((mascon_program_begin(&p), mascon_program_begin(&p)));
    REFUSED(mascon_program_input(NULL, t, &out));
    REFUSED((mascon_program_begin(&p), mascon_program_input(p, NULL, &out)));
    REFUSED((mascon_program_begin(&p), mascon_program_input(p, t, NULL)));
    REFUSED(mascon_program_output(NULL, t, &out));
    REFUSED((mascon_program_begin(&p), mascon_program_output(p, NULL, &out)));
    REFUSED((mascon_program_begin(&p), mascon_program_output(p, t, NULL)));
    QUIET_VOID(mascon_program_pause(NULL, 1));
    QUIET(mascon_program_steps(NULL));
    QUIET(mascon_program_uses(NULL, t));
    QUIET((mascon_program_begin(&p), mascon_program_uses(p, NULL)));
    REFUSED(mascon_program_end(NULL));
    REFUSED((mascon_program_begin(&p), mascon_program_end(p), mascon_program_end(p)));
    QUIET_VOID(mascon_program_release(NULL));
    QUIET(mascon_program_fits(NULL, &t, 1));
    QUIET((mascon_program_begin(&p), mascon_program_fits(p, NULL, 1)));
    REFUSED(mascon_program_run(NULL, &t, 1, &out, 1));
    REFUSED((mascon_program_begin(&p), mascon_program_run(p, &t, 1, &out, 1)));
    REFUSED(
        (mascon_program_begin(&p), mascon_program_end(p), mascon_program_run(p, NULL, 1, &out, 0)));
    REFUSED(
        (mascon_program_begin(&p), mascon_program_end(p), mascon_program_run(p, &t, 1, &out, 1)));
    REFUSED(mascon_program_set(NULL, 0, 1, 0, "lr", 1));
    REFUSED((mascon_program_begin(&p), mascon_program_set(p, 0, 0, 0, NULL, 1)));
    REFUSED((mascon_program_begin(&p), mascon_program_set(p, 0, 9, 0, "lr", 1)));
    REFUSED((mascon_program_begin(&p), mascon_program_set(p, 0, 0, -1, "lr", 1)));
    REFUSED(mascon_program_compare(NULL, NULL));
    QUIET_VOID(mascon_program_counts(NULL, NULL));
}

static void hosts(void) {
    static mascon_cached *c;
    static mascon_job *job;
    static mascon_model *no_model;
    REFUSED(mascon_share(NULL, &large));
    REFUSED(mascon_share(t, NULL));
    REFUSED(mascon_shared_take(1, NULL));
    REFUSED(mascon_shared_take(12345, &out));
    REFUSED(mascon_cached_begin(NULL, &integer, &c));
    REFUSED(mascon_cached_begin("key", NULL, &c));
    REFUSED(mascon_cached_begin("key", &integer, NULL));
    REFUSED((mascon_cached_begin("key", &integer, &c), mascon_cached_begin("key", &integer, &c)));
    REFUSED(mascon_cached_put(NULL, "text", NULL, 0, NULL, 0));
    REFUSED(mascon_cached_put("key", "text", NULL, 0, NULL, 0));
    REFUSED((mascon_cached_begin("key", &integer, &c),
             mascon_cached_put("key", NULL, NULL, 0, NULL, 0)));
    REFUSED((mascon_cached_begin("key", &integer, &c),
             mascon_cached_put("key", "text", NULL, 1, NULL, 0)));
    REFUSED((mascon_cached_begin("key", &integer, &c),
             mascon_cached_put("key", "text", NULL, -1, NULL, 0)));
    REFUSED((mascon_cached_begin("key", &integer, &c),
             mascon_cached_put("key", "text", none, 1, NULL, 0)));
    REFUSED((mascon_cached_begin("key", &integer, &c),
             mascon_cached_put("key", "text", NULL, 0, &no_model, 1)));
    QUIET_VOID(mascon_cached_fail(NULL));
    QUIET_VOID(mascon_cached_fail("key"));
    QUIET(mascon_cached_text(NULL));
    REFUSED(mascon_cached_tensor(NULL, 0, &out));
    REFUSED(mascon_cached_model(NULL, 0, &no_model));
    REFUSED(mascon_job_start(NULL, NULL, &t, 1));
    REFUSED(mascon_job_start(&job, NULL, &t, 1));
    QUIET(mascon_job_done(NULL));
    REFUSED(mascon_job_result(NULL, &out, 1));
    QUIET_VOID(mascon_job_release(NULL));
    REFUSED(mascon_push_tensor(NULL, t));
    REFUSED(mascon_check_tensor(NULL, 1, &out));
}

/* Tensors whose storage was dropped. */
static void released(void) {
    static mascon_backward *pass;
    static mascon_upload *upload;
    static mascon_source *source;
    static mascon_pipeline *p;
    static mascon_writer *writer;
    static mascon_digest *digest;
    static mascon_recorder *r;
    static mascon_dlpack *d;
    static mascon_dlpack_versioned *v;
    void *data;
    mascon_call call;
    memset(&call, 0, sizeof call);
    mascon_tensor_discard(t2, "released at the end of scope");
    call.op = mascon_op_find("relu");
    call.n_src = 1;
    call.src[0] = t2;
    mascon_pipeline_new(&p);
    mascon_digest_new(&digest);
    mascon_writer_begin(&writer, "misuse.safetensors");
    REFUSED(mascon_invoke(&call));
    REFUSED(mascon_tensor_data(t2, &data));
    REFUSED(mascon_tensor_read(t2, &number));
    REFUSED(mascon_tensor_write(t2, &number));
    REFUSED(mascon_tensor_item(t2, &number));
    REFUSED(mascon_tensor_set_requires_grad(t2, 1));
    REFUSED(mascon_tensor_detach(t2, &out));
    REFUSED(mascon_tensor_pin(t2, &out));
    REFUSED(mascon_tensor_set_grad(t, t2));
    REFUSED(mascon_backward_begin(&pass, t2, NULL, NULL, 0, 0));
    QUIET(mascon_node_new(1, &t2, 1, &t, 1)); /* the function may have released it */
    REFUSED(mascon_upload_new(&upload, &t2, 1, MASCON_DEVICE_CUDA, none));
    REFUSED(mascon_source_tensors(&source, &t2, 1));
    REFUSED(mascon_pipeline_apply(p, t2, &out));
    REFUSED(mascon_image_write("misuse.png", t2, MASCON_IMAGE_PNG, 90));
    REFUSED(mascon_writer_add(writer, "a", t2, NULL));
    REFUSED(mascon_digest_tensor(digest, t2));
    REFUSED(mascon_share(t2, &large));
    REFUSED(mascon_tensor_to_dlpack(&d, t2));
    REFUSED(mascon_tensor_to_dlpack_versioned(&v, t2));
    REFUSED((mascon_recorder_begin(&r), mascon_recorder_input(r, "x", t2)));
    REFUSED((mascon_recorder_begin(&r), mascon_recorder_constant(r, "x", t2)));
    REFUSED((mascon_recorder_begin(&r), mascon_recorder_output(r, "x", t2)));
    QUIET(mascon_tensor_find_nonfinite(t2));
    QUIET(mascon_tensor_storage_id(t2));
    QUIET(mascon_tensor_version(t2));
    QUIET_VOID(mascon_tensor_mark_changed(t2));
    QUIET_VOID(mascon_tensor_set_origin(t2, "x"));
    QUIET(mascon_writer_find(writer, t2));
    mascon_writer_release(writer);
    mascon_digest_release(digest);
    mascon_pipeline_release(p);
}

int main(void) {
    mascon_tensor_new(&t, MASCON_DTYPE_F32, 2, sizes, MASCON_DEVICE_CPU);
    mascon_tensor_new(&t2, MASCON_DTYPE_F32, 2, sizes, MASCON_DEVICE_CPU);
    errors_and_ops();
    tensors();
    gradients();
    machine();
    readers();
    writers();
    pictures();
    residents();
    files();
    models();
    programs();
    hosts();
    released();
    mascon_tensor_release(t);
    mascon_tensor_release(t2);
    return failures != 0;
}
