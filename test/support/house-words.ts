import { z } from "zod";
import { houseMessage } from "#contract/house-messages.ts";

/*
 * Files of tests that share a process share zod's configuration too: it is the one of every process that loads handlers,
 * whichever file comes first.
 */
z.config({ customError: houseMessage });
