--- The convolutions that scripts/bench_op conv2d times: those of SimpleCNN, CustomCNN and ResNet-50.

local mascon = require "mascon"
local create = require "mascon.create"
local layer = require "mascon.ffi"
local op = require "mascon.op"

-- name, batch, channels, side, output channels, kernel, step
local shapes = {
  { "CustomCNN 1", 32, 3, 32, 32, 3, 1 },
  { "CustomCNN 2", 32, 32, 32, 32, 3, 1 },
  { "CustomCNN 3", 32, 32, 16, 64, 3, 1 },
  { "CustomCNN 4", 32, 64, 16, 64, 3, 1 },
  { "CustomCNN 5", 32, 64, 8, 128, 3, 1 },
  { "CustomCNN 6", 32, 128, 8, 128, 3, 1 },
  { "CustomCNN 7", 32, 128, 4, 256, 3, 1 },
  { "CustomCNN 8", 32, 256, 4, 256, 3, 1 },
  { "ResNet-50 2", 32, 64, 56, 64, 3, 1 },
  { "ResNet-50 3", 32, 128, 28, 128, 3, 1 },
  { "ResNet-50 4", 32, 256, 14, 256, 3, 1 },
  { "ResNet-50 5", 32, 512, 7, 512, 3, 1 },
  { "SimpleCNN 1", 32, 3, 32, 10, 3, 1 },
  { "SimpleCNN 2", 32, 10, 32, 10, 3, 1 },
  { "ResNet-50 3 step", 32, 128, 56, 128, 3, 2 },
  { "ResNet-50 4 step", 32, 256, 28, 256, 3, 2 },
  { "ResNet-50 5 step", 32, 512, 14, 512, 3, 2 },
  { "ResNet-50 2 1x1", 32, 64, 56, 256, 1, 1 },
  { "ResNet-50 4 1x1", 32, 256, 14, 1024, 1, 1 },
  { "ResNet-50 stem", 8, 3, 224, 64, 7, 2 },
}

-- ORDER: MASCON_CONV_* of lib/cpu/conv.h
local kernels = { "oneDNN", "few channels", "Winograd", "depthwise" }
local passes = { "forward", "data", "weight" }

--- The three passes of a shape, as functions that return their main result.
local function calls_of(s, batch, dtype)
  local n, c, h, oc, k, step = batch, s[3], s[4], s[5], s[6], s[7]
  local padding = math.floor(k / 2)
  local oh = math.floor((h + 2 * padding - k) / step) + 1
  local function filled(sizes)
    mascon.manual_seed(sizes[1] * 31 + sizes[2])
    return create.new_nhwc("bench", sizes):uniform_(-1, 1):to(dtype)
  end
  local x, w, dy = filled { n, c, h, h }, filled { oc, c, k, k }, filled { n, oc, oh, oh }
  local bias = mascon.zeros({ oc }, { dtype = dtype })
  local window = { stride = step, padding = padding }
  local function with(extra)
    for key, v in pairs(window) do
      extra[key] = v
    end
    return extra
  end
  local forward = op.prepare("conv2d", window)
  local data = op.prepare("conv2d_bwd_data", with { height = h, width = h })
  local weight = op.prepare("conv2d_bwd_weight", with { kernel_size = k, bias = true })
  -- as in training: each step has new weights, and bringing them into the kernel's form is timed
  return {
    forward = function()
      w:mark_changed()
      return forward(x, w, bias)
    end,
    data = function()
      w:mark_changed()
      return data(dy, w)
    end,
    weight = function()
      return (weight(x, dy))
    end,
  }, 2e-9 * n * oc * oh * oh * c * k * k
end

-- oneDNN's own Winograd, in onednn_winograd.c beside this file, a library that is made for the run.
local function onednn_library()
  local path = os.tmpname()
  local source = "scripts/benchmarks/onednn_winograd.c"
  local made = os.execute(("cc -O2 -shared -fPIC -fopenmp %s -o %s -ldnnl 2>/dev/null"):format(source, path))
  local library
  if made == 0 or made == true then
    library = layer.library(path, [[
      void *mascon_bench_onednn_open(int64_t n, int64_t c, int64_t side, int64_t oc, int pass, int same,
                                     int threads);
      int mascon_bench_onednn_run(void *opened);
      void mascon_bench_onednn_close(void *opened);
    ]])
  else
    io.stderr:write "bench_op: no C compiler or no headers of oneDNN; its Winograd is not timed\n"
  end
  os.remove(path)
  return library
end

-- The manners of onednn_winograd.c.
local manners = { "own", "same" }

--- Functions that run one pass by oneDNN's Winograd, in both manners, and one that frees what they hold.
local function onednn_winograd(library, s, batch, pass, threads)
  local runs, opened = {}, {}
  if library and s[6] == 3 and s[7] == 1 then
    for same, manner in ipairs(manners) do
      local job = library.mascon_bench_onednn_open(batch, s[3], s[4], s[5], pass - 1, same - 1, threads)
      if job ~= nil then
        opened[#opened + 1] = job
        runs[manner] = function()
          assert(library.mascon_bench_onednn_run(job) == 0, "oneDNN's Winograd failed")
        end
      end
    end
  end
  return runs, function()
    for _, job in ipairs(opened) do
      library.mascon_bench_onednn_close(job)
    end
  end
end

--- The kernel that serves a call. A kernel that is asked for but cannot serve leaves it to another.
local function kernel_of(fn)
  return mascon.profile(fn)[1].kernel
end

--- Geometric means and the worst of ratios.
local function new_ratios()
  return { logs = 0, count = 0, worst = math.huge }
end
local function add_ratio(r, ratio)
  r.logs, r.count, r.worst = r.logs + math.log(ratio), r.count + 1, math.min(r.worst, ratio)
end

--- What is compared: the candidates of one pass of one shape, with names. The first is the choice, the
--- second oneDNN's direct convolution.
local function candidates(bench, calls, pass)
  local C, no_avx512 = layer.C, bench.flags["no-avx512"] and 1 or 0
  local function by(kernel)
    return function()
      C.mascon_testing_conv(kernel, no_avx512)
      local y = calls[pass]()
      C.mascon_testing_conv(-1, 0)
      return y
    end
  end
  local list, names = { by(-1) }, { kernel_of(by(-1)) }
  for kernel = 0, #kernels - 1 do
    local fn = by(kernel)
    if kernel == 0 or kernel_of(fn) == kernels[kernel + 1] then
      list[#list + 1] = fn
      names[#list] = kernels[kernel + 1]
    end
  end
  return list, names
end

--- Times one pass of a shape: a row of the table.
local function measure(bench, library, s, batch, pass, all)
  local list, names = candidates(bench, all.calls, passes[pass])
  local ours = #list
  for i, fn in ipairs(list) do
    list[i] = function() -- the next call finds the memory of this one's result, as oneDNN's Winograd does
      fn():release()
    end
  end
  local runs, close = onednn_winograd(library, s, batch, pass, bench.args.threads)
  local place = {}
  for _, manner in ipairs(manners) do
    if runs[manner] then
      list[#list + 1] = runs[manner]
      place[manner] = #list
    end
  end
  local t = bench.alternate(list)
  close()
  local row = { name = names[1], best = t[1].best, direct = t[2].best, others = {}, first = 1,
    direct_median = t[2].median / t[1].median }
  for _, manner in ipairs(manners) do
    row[manner] = place[manner] and t[place[manner]].best
  end
  for i = 2, ours do
    if i > 2 then
      row.others[#row.others + 1] = ("%s %.0f"):format(names[i], t[i].best * 1e3)
    end
    if t[i].best < t[row.first].best then
      row.first = i
    end
  end
  row.fastest = names[row.first]
  local small, exact = candidates(bench, all.small, passes[pass]), all.exact[passes[pass]]
  row.error = bench.error(small[1](), bench.on_reference(exact))
  return row
end

local function cell(row, value)
  return value and ("%.0f | %.2f"):format(value * 1e3, value / row.best) or "- | -"
end

return function(bench)
  local library = onednn_library()
  local direct, same, own, fastest_of = new_ratios(), new_ratios(), new_ratios(), {}
  print "ratio: oneDNN's best time over that of the kernel chosen. Winograd is oneDNN's own: on channels-last"
  print "pictures and plain weights, as ours, or in its own formats with nothing converted.\n"
  print("| convolution | pass | chosen | best us | GFLOP/s | oneDNN us | ratio | of medians | Winograd us | ratio"
    .. " | own formats us | ratio | others | error |")
  print(("|---"):rep(14) .. "|")
  for _, s in ipairs(shapes) do
    local batch = bench.args.batch > 0 and bench.args.batch or s[2]
    local title = ("%s: %dx%dx%d to %d, %dx%d step %d, batch %d"):format(s[1], s[3], s[4], s[4], s[5],
      s[6], s[6], s[7], batch)
    if title:find(bench.args.only, 1, true) then
      local calls, work = calls_of(s, batch, "float32")
      local all = { calls = calls, small = calls_of(s, 2, "float32"), exact = calls_of(s, 2, "float64") }
      for pass, name in ipairs(passes) do
        local row = measure(bench, library, s, batch, pass, all)
        if s[6] == 3 and s[7] == 1 then
          add_ratio(direct, row.direct / row.best)
          add_ratio(same, math.min(row.direct, row.same or math.huge) / row.best)
          add_ratio(own, math.min(row.direct, row.own or math.huge) / row.best)
        end
        print(("| %s | %s | %s | %.0f | %.0f | %s | %.2f | %s | %s | %s | %.1e |"):format(title, name, row.name,
          row.best * 1e3, work / row.best * 1e3, cell(row, row.direct), row.direct_median, cell(row, row.same),
          cell(row, row.own), table.concat(row.others, ", "), row.error))
        io.stdout:flush()
        fastest_of[#fastest_of + 1] = { title = title, pass = name, name = row.fastest }
      end
    end
  end
  if direct.count > 0 then
    print(("\n%d passes of 3x3 convolutions of step 1, against oneDNN's:"):format(direct.count))
    for _, row in ipairs {
      { "direct kernels", direct }, { "best, Winograd doing the same", same },
      { "best, Winograd in its own formats", own },
    } do
      print(("  %-34s geometric mean %.2f, worst %.2f"):format(row[1], math.exp(row[2].logs / row[2].count),
        row[2].worst))
    end
  end
  if bench.flags.table then
    print "\nfastest by the best time:"
    for _, row in ipairs(fastest_of) do
      print(("  %-60s %-8s %s"):format(row.title, row.pass, row.name))
    end
  end
end
