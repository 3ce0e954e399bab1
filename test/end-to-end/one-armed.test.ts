import { describeForwarding } from '../support/net/forwarding-suite.ts';

describeForwarding({ title: 'one-armed, two queues and workers', arms: 1, queues: 2 });
