import { describeForwarding } from '../support/net/forwarding-suite.ts';

describeForwarding({ title: 'two-armed, two queues and workers', arms: 2, queues: 2 });
