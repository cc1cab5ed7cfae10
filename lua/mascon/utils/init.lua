--- mascon.utils: what a training run writes down about itself.

return {
  SummaryWriter = require "mascon.utils.summary_writer",
  CSVLogger = require "mascon.utils.csv_logger",
}
