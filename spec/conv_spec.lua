--- The kernels of conv2d, each asked for by name: against oneDNN and the reference, by AVX-512 and by
-- AVX2, with the same bits for any number of threads.

local mascon = require "mascon"
local create = require "mascon.create"
local op = require "mascon.op"

local kernels = require "spec.support.kernels"
local by = kernels.by
local ONEDNN, SMALL, WINOGRAD, DEPTHWISE = kernels.ONEDNN, kernels.SMALL, kernels.WINOGRAD, kernels.DEPTHWISE

-- Error relative to the largest magnitude. Winograd's is about 2e-6 at 512 channels, the other
-- kernels' and oneDNN's, against which they are held here, below 1e-6.
local TOLERANCE = 5e-6

-- batch, channels, height, width, output channels, padding, options
local shapes = {
  [WINOGRAD] = {
    { 1, 16, 4, 4, 16, 1 }, -- one tile
    { 2, 19, 9, 11, 23, 1 }, -- parts of tiles and of vectors
    { 3, 5, 7, 6, 70, 0 }, -- no padding; a second, narrow panel
    { 1, 33, 5, 13, 8, 2 }, -- padding 2: all of it is edge
    { 2, 17, 3, 3, 17, { 2, 0 } }, -- uneven
    { 1, 64, 3, 20, 130, { 0, 2 } },
    { 9, 32, 13, 10, 48, 1 }, -- several blocks of tiles, the last smaller
    { 2, 160, 6, 7, 190, 1 }, -- by parts, the last narrower
    { 40, 176, 14, 14, 176, 1 }, -- large weights by tiles; large parts of the gradient
    { 2, 520, 5, 6, 20, 1 }, { 2, 20, 5, 6, 520, 1 }, -- parts of one side
    { 1, 1, 1, 1, 1, 1 },
  },
  [SMALL] = {
    { 3, 3, 32, 32, 10, 1 }, { 9, 10, 16, 16, 10, 1 }, { 1, 12, 5, 48, 1, 1 }, { 2, 1, 1, 16, 12, 1 },
    { 2, 7, 40, 32, 11, 1 },
  },
  [DEPTHWISE] = {
    { 2, 24, 9, 11, 24, 1, { groups = 24 } }, { 1, 1, 1, 1, 1, 1, { groups = 1 } },
    { 3, 67, 6, 3, 67, 2, { groups = 67 } }, { 1, 16, 12, 12, 16, 0, { groups = 16 } },
    { 2, 40, 9, 10, 40, 1, { groups = 40, stride = 2 } },
    { 1, 33, 7, 7, 33, { 0, 2 }, { groups = 33, stride = 2 } },
  },
}

local function filled(sizes, seed)
  mascon.manual_seed(seed)
  return create.new_nhwc("spec", sizes):uniform_(-1, 1)
end

--- The results of the three passes, and a function that tells which kernel ran.
local function passes(s)
  local n, c, h, w, oc, padding = unpack(s, 1, 6)
  local groups = s[7] and s[7].groups or 1
  local stride = s[7] and s[7].stride or 1
  local window = { padding = padding, groups = groups, stride = stride }
  local x, weight = filled({ n, c, h, w }, 1), filled({ oc, c / groups, 3, 3 }, 2)
  local bias = filled({ 1, oc, 1, 1 }, 3):flatten()
  local y = op.run("conv2d", "spec", false, x, weight, bias, window)
  local dy = filled(y.shape, 4)
  local function with(extra)
    for k, v in pairs(window) do
      extra[k] = v
    end
    return extra
  end
  return {
    function() return { op.run("conv2d", "spec", false, x, weight, bias, window) } end,
    function()
      return { op.run("conv2d_bwd_data", "spec", false, dy, weight, with { height = h, width = w }) }
    end,
    function()
      return { op.run("conv2d_bwd_weight", "spec", false, x, dy, with { kernel_size = 3, bias = true }) }
    end,
  }
end

--- The passes that a kernel can serve.
local function served(kernel, s)
  local all = passes(s)
  if kernel == DEPTHWISE then -- forward, and the gradient of x with step 1
    return { all[1], not s[7].stride and all[2] or nil }
  end
  return all
end

local function off(a, b)
  return (a - b):abs():max():item() / math.max(b:abs():max():item(), 1e-30)
end

local function bits(outs)
  local lists = {}
  for i, t in ipairs(outs) do
    lists[i] = t:flatten():totable()
  end
  return lists
end

--- Whether a kernel runs on this processor at all.
local function available(kernel, no_avx512)
  return pcall(by, kernel, no_avx512, passes(shapes[kernel][1])[1])
end

describe("conv2d kernel", function()
  for kernel, list in pairs(shapes) do
    for no_avx512 = 0, 1 do
      local label = ("%s, %s"):format(kernels.names[kernel], no_avx512 == 1 and "AVX2" or "AVX-512 where it is")
      if available(kernel, no_avx512) then
        for _, s in ipairs(list) do
          local title = kernels.title(s)
          it(("%s: agrees with oneDNN: %s"):format(label, title), function()
            for pass, fn in ipairs(served(kernel, s)) do
              local want, got = by(ONEDNN, 0, fn), by(kernel, no_avx512, fn)
              assert.equal(#want, #got)
              for i = 1, #want do
                local d = off(got[i], want[i])
                assert.is_true(d <= TOLERANCE, ("pass %d output %d is off by %g"):format(pass, i, d))
              end
            end
          end)
          it(("%s: same bits for 1, 2, 4 threads: %s"):format(label, title), function()
            local before = mascon.get_num_threads()
            for _, fn in ipairs(served(kernel, s)) do
              local results = {}
              for i, threads in ipairs { 1, 2, 4 } do
                mascon.set_num_threads(threads)
                results[i] = by(kernel, no_avx512, fn)
              end
              mascon.set_num_threads(before)
              for i = 2, 3 do
                for k, t in ipairs(results[i]) do
                  assert.is_true(mascon.eq(t, results[1][k]):all():item())
                end
              end
            end
          end)
        end
      end
    end
  end

  it("Winograd gives the same bits by AVX2 and AVX-512", function()
    if not (available(WINOGRAD, 0) and available(WINOGRAD, 1)) then
      return
    end
    for _, s in ipairs { { 3, 21, 9, 6, 35, 1 }, { 3, 150, 7, 6, 135, 1 }, { 32, 130, 21, 21, 140, 1 } } do
      for _, fn in ipairs(passes(s)) do
        assert.same(bits(by(WINOGRAD, 0, fn)), bits(by(WINOGRAD, 1, fn)))
      end
    end
  end)

  -- oneDNN 2.6 writes behind the scratch memory that it asks for.
  for _, s in ipairs { { 2, 3, 112, 112, 32 }, { 2, 11, 90, 90, 13 }, { 2, 2, 6, 6, 3 } } do
    it("the gradient of few channels' 1x1 weights with steps stays in its memory: " .. kernels.title(s), function()
      local n, c, h, w, oc = unpack(s)
      local x, dy = filled({ n, c, h, w }, 1), filled({ n, oc, h / 2, w / 2 }, 2)
      local got
      for _ = 1, 3 do
        got = op.run("conv2d_bwd_weight", "spec", false, x, dy, { kernel_size = 1, stride = 2 })
      end
      local picked = x:view(n, c, h / 2, 2, w / 2, 2):select(6, 1):select(4, 1)
      local want = mascon.matmul(
        dy:permute(2, 1, 3, 4):reshape(oc, -1), picked:permute(1, 3, 4, 2):reshape(-1, c))
      assert.is_true(off(got:view(oc, c), want) <= TOLERANCE)
    end)
  end

  local function keeps(channels)
    local x, w = filled({ 6, channels, 8, 8 }, 1), filled({ channels, channels, 3, 3 }, 2)
    local function run()
      return by(WINOGRAD, 0, function() return { mascon.conv2d(x, w, { padding = 1 }) } end)[1]
    end
    local first
    for _ = 1, 3 do
      local y = run()
      first = first or y
      assert.is_true(mascon.eq(first, y):all():item())
    end
    w:mul_(2)
    for _ = 1, 3 do
      assert.is_true(off(run(), first * 2) < 1e-6)
    end
  end

  for title, channels in pairs { ["by tiles"] = 16, ["by parts"] = 160 } do
    it("keeps transformed weights per version: Winograd " .. title, function()
      if available(WINOGRAD, 0) then
        keeps(channels)
      end
    end)
  end
end)
