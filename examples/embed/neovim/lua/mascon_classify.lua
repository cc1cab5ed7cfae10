--- :Classify in Neovim: what is on the picture whose file name stands under the cursor?
--
--   require("mascon_classify").setup {
--     library = "/usr/local/lib/libmascon.so",
--     model = "simple_cnn.safetensors",          -- mascon.save_model; examples/simple_cnn.lua writes one
--     classes = { "airplane", "automobile", ... },
--     size = { 32, 32 },                          -- the picture size that the model takes
--   }
--
-- The editor's thread never waits. Reading and resizing happen in a thread of Neovim's pool, in a Lua state
-- of its own, which hands the tensor over by number (share, from_shared); the model runs in a thread of
-- mascon (async), and a timer looks once in a few milliseconds whether it is done.
local M = {}

local uv = vim.loop
local settings, mascon, model

--- mascon in this Lua state: the library brings its Lua files along.
local function load_mascon(library)
  local open = assert(package.loadlib(library, "luaopen_mascon"))
  package.preload.mascon = open
  return require "mascon"
end

--- Runs in another thread and Lua state: no upvalues, plain values in and out.
local function read_picture(library, path, height, width)
  local good, result = pcall(function()
    package.preload.mascon = package.preload.mascon or assert(package.loadlib(library, "luaopen_mascon"))
    local m = require "mascon"
    local picture = m.image.resize(m.image.read(path, { channels = 3 }), { height, width })
    local x = picture:to "float32" / 255
    return x:unsqueeze(1):share()
  end)
  return good, result
end

--- Calls done(class, probability) or done(nil, message) later, from the main loop.
---@param path string
---@param done fun(class: string?, detail: any)
function M.classify(path, done)
  if not model then
    mascon = load_mascon(settings.library)
    model = mascon.load_model(settings.model)
  end
  local function run(good, number)
    if not good then
      return done(nil, number)
    end
    local job = mascon.async(model, mascon.from_shared(number))
    local timer = uv.new_timer()
    timer:start(1, 2, vim.schedule_wrap(function()
      if timer:is_closing() or not job:done() then
        return
      end
      timer:close()
      local ok, scores = pcall(job.result, job)
      if not ok then
        return done(nil, scores)
      end
      local probability, class = mascon.softmax(scores, 2):max(2)
      done(settings.classes[class:item()] or tostring(class:item()), probability:item())
    end))
  end
  local work = uv.new_work(read_picture, vim.schedule_wrap(run))
  work:queue(settings.library, path, settings.size[1], settings.size[2])
end

--- Checks the settings and makes the command :Classify.
---@param given table library, model, classes, size
function M.setup(given)
  settings = vim.tbl_extend("force", { size = { 32, 32 }, classes = {} }, given)
  vim.validate {
    library = { settings.library, "string" }, model = { settings.model, "string" },
    classes = { settings.classes, "table" }, size = { settings.size, "table" },
  }
  vim.api.nvim_create_user_command("Classify", function()
    local path = vim.fn.expand "<cfile>"
    M.classify(path, function(class, detail)
      if class then
        vim.notify(("%s: %s (%.0f %%)"):format(path, class, 100 * detail))
      else
        vim.notify(tostring(detail), vim.log.levels.ERROR)
      end
    end)
  end, { desc = "name what is on the picture under the cursor" })
end

return M
