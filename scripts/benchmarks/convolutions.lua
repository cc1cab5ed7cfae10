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

-- oneDNN's own Winograd, which works in memory formats of its own: timed by a program beside this file,
-- made for the run. It counts as oneDNN's best where it is faster than oneDNN on channels-last memory.
local program
local function onednn_winograd(s, batch, bench)
  if s[6] ~= 3 or s[7] ~= 1 then
    return {}
  end
  if program == nil then
    program = os.tmpname()
    local made = os.execute(("cc -O2 scripts/benchmarks/onednn_winograd.c -o %s -ldnnl 2>/dev/null"):format(
      program))
    if made ~= 0 and made ~= true then
      io.stderr:write "bench_op: no C compiler or no headers of oneDNN; its Winograd is not timed\n"
      os.remove(program)
      program = false
    end
  end
  local best = {}
  if program then
    local pipe = io.popen(("OMP_NUM_THREADS=%d %s %d %d %d %d %g"):format(bench.args.threads, program,
      batch, s[3], s[4], s[5], bench.args.seconds * bench.args.rounds))
    for _, pass in ipairs(passes) do
      local us = tonumber(pipe:read "*l")
      best[pass] = us and us > 0 and us / 1e3 or nil
    end
    pipe:close()
  end
  return best
end

--- The kernel that serves a call. A kernel that is asked for but cannot serve leaves it to another.
local function kernel_of(fn)
  return mascon.profile(fn)[1].kernel
end

return function(bench)
  local C, no_avx512 = layer.C, bench.flags["no-avx512"] and 1 or 0
  local function by(kernel, fn)
    return function()
      C.mascon_testing_conv(kernel, no_avx512)
      local y = fn()
      C.mascon_testing_conv(-1, 0)
      return y
    end
  end
  local logs, stride_1, worst, chosen_of = 0, 0, math.huge, {}
  print(("| %-32s | pass    | chosen       | best us | GFLOP/s | oneDNN us | ratio | median ratio | others | error |")
    :format "convolution")
  print "|---|---|---|---|---|---|---|---|---|---|"
  for _, s in ipairs(shapes) do
    local batch = bench.args.batch > 0 and bench.args.batch or s[2]
    local title = ("%s: %dx%dx%d to %d, %dx%d step %d, batch %d"):format(s[1], s[3], s[4], s[4], s[5],
      s[6], s[6], s[7], batch)
    if title:find(bench.args.only, 1, true) then
      local calls, work = calls_of(s, batch, "float32")
      local small = calls_of(s, 2, "float32")
      local exact = calls_of(s, 2, "float64")
      local winograd = onednn_winograd(s, batch, bench)
      for _, pass in ipairs(passes) do
        local list, names = { by(-1, calls[pass]) }, { kernel_of(by(-1, calls[pass])) }
        for kernel = 0, 3 do
          local fn = by(kernel, calls[pass])
          if kernel == 0 or kernel_of(fn) == kernels[kernel + 1] then
            list[#list + 1] = fn
            names[#list] = kernels[kernel + 1]
          end
        end
        local t = bench.alternate(list)
        local error = bench.error(by(-1, small[pass])(), bench.on_reference(exact[pass]))
        local others, first = {}, 1
        for i = 2, #list do
          if i > 2 then
            others[#others + 1] = ("%s %.0f"):format(names[i], t[i].best * 1e3)
          end
          if t[i].best < t[first].best then
            first = i
          end
        end
        local own = winograd[pass]
        if own then
          others[#others + 1] = ("oneDNN's Winograd, own memory %.0f"):format(own * 1e3)
        end
        local ratio = math.min(t[2].best, own or math.huge) / t[1].best
        if s[6] == 3 and s[7] == 1 then
          logs, stride_1 = logs + math.log(ratio), stride_1 + 1
        end
        worst = math.min(worst, ratio)
        print(("| %s | %s | %s | %.0f | %.0f | %.0f | %.2f | %.2f | %s | %.1e |"):format(title, pass, names[1],
          t[1].best * 1e3, work / t[1].best * 1e3, t[2].best * 1e3, ratio, t[2].median / t[1].median,
          table.concat(others, ", "), error))
        io.stdout:flush()
        chosen_of[#chosen_of + 1] = { title = title, pass = pass, name = names[first] }
      end
    end
  end
  if program then
    os.remove(program)
  end
  if stride_1 > 0 then
    print(("\ngeometric mean over the 3x3 convolutions of step 1: %.2f; worst of all: %.2f"):format(
      math.exp(logs / stride_1), worst))
  end
  if bench.flags.table then
    print "\nfastest by the best time:"
    for _, row in ipairs(chosen_of) do
      print(("  %-60s %-8s %s"):format(row.title, row.pass, row.name))
    end
  end
end
